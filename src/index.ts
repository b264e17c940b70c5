// vmxlab as a library: every layer by name, bottom up. Each is also a module of its own, such as
// `vmxlab/machine`, and can be used without those above it. `vmxlab/testing` is only that: it needs
// vitest.

export * as api from './api/index.ts';
export * as asm from './asm/index.ts';
export * as check from './check/index.ts';
export * as cpu from './cpu/index.ts';
export * as debug from './debug/index.ts';
export * as experiment from './experiment/index.ts';
export * as explore from './explore/index.ts';
export * as fuzz from './fuzz/index.ts';
export * as host from './host/index.ts';
export * as isa from './isa/index.ts';
export * as kvm from './kvm/index.ts';
export * as machine from './machine/index.ts';
export * as memory from './memory/index.ts';
export * as sim from './sim/index.ts';
export * as trace from './trace/index.ts';
export * as vmx from './vmx/index.ts';
