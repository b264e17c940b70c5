// Settings in comments at the head of a program: what counts as one, and what is wrong with others.

import { describe, expect, test } from 'vitest';
import { readHeader, SETTINGS } from '../../src/machine/index.ts';
import { sourceOf } from '../support/guest-run.ts';

describe('header comments', () => {
  const header = (text: string) => {
    const { settings, problems } = readHeader(text);
    const read = settings.map(({ setting, value }) => `${setting.key} = ${value}`);
    return [...read, ...problems.map((p) => `${p.line}:${p.column}: ${p.message}`)];
  };
  const NAMES = SETTINGS.map(({ flag }) => flag).join(', ');

  test.each([
    ['; vmxlab: vcpus=4 pcpus=2', 'vms[].vcpus = 4', 'host.pcpus = 2'],
    ['bits 64\n  ;vmxlab:until=5ms\n; vmxlab: hogs=3', 'limits.time = 5ms', 'hogs[].count = 3'],
    ['; vmxlab: seed=a=b', 'seed = a=b'],
    ['; vmxlab:'],
    ['; about vmxlab: vcpus=4'],
    ['mov eax, 1 ; vmxlab: vcpus=4'],
    [`${'\n'.repeat(19)}; vmxlab: vcpus=4`, 'vms[].vcpus = 4'],
    [`${'\n'.repeat(20)}; vmxlab: vcpus=4`],
    ['; vmxlab: vcpu=4', "1:11: unknown setting 'vcpu'; did you mean 'vcpus'?"],
    [
      '\n; vmxlab: pcpus=2 colour=red',
      'host.pcpus = 2',
      `2:19: unknown setting 'colour'; known settings: ${NAMES}`,
    ],
    ['; vmxlab: vcpus', '1:11: expected vcpus=VALUE'],
    ['; vmxlab: vcpus=', '1:11: expected vcpus=VALUE'],
    [
      '; vmxlab: vcpus = 4',
      '1:11: expected vcpus=VALUE',
      `1:17: unknown setting ''; known settings: ${NAMES}`,
      `1:19: unknown setting '4'; known settings: ${NAMES}`,
    ],
  ])('%j', (text, ...expected) => {
    expect(header(text)).toEqual(expected);
  });

  test.each([
    ['lock-tas.asm', 4, 2],
    ['five-exits.asm', 2, 2],
    ['hello.asm', 1, 1],
  ])('%s says how it wants to run', (name, vcpus, pcpus) => {
    const wanted = header(sourceOf(name));
    expect(wanted).toContain(`vms[].vcpus = ${vcpus}`);
    expect(wanted).toContain(`host.pcpus = ${pcpus}`);
  });
});
