// machine: a scenario made into a running machine, and what came of it. Knows nothing of files,
// terminals or debuggers.
//
//   import { checkScenario, Machine, reportOf } from 'vmxlab/machine';
//   const document = { vms: [{ program: 'halt.bin', vcpus: 2 }], host: { pcpus: 1 } };
//   const { scenario } = checkScenario(document);
//   const program = Uint8Array.of(0xfa, 0xf4); // cli; hlt
//   const machine = new Machine(scenario, { programs: [program] });
//   const ending = machine.run();
//   ending.status; // 'halted'
//   reportOf(machine, ending).exits[0].count; // 2

export {
  type Account,
  Accountant,
  accountMachine,
  type PcpuAccount,
  type ThreadAccount,
  USE_NAMES,
  USES,
  type Use,
  type Uses,
} from './accounting.ts';
export { type CostLine, costLines } from './cost-keys.ts';
export { PORT_RANGES, type PortRange } from './devices/ports.ts';
export {
  codeOf,
  type ElfCode,
  type ElfImage,
  type ElfProblem,
  isElf,
} from './elf.ts';
export { type EndingStatus, EXIT_CODES, type MachineEnding } from './ending.ts';
export { type EngineReport, engineReport, engineText, watchEngine } from './engine-report.ts';
export { FAULTS, type Fault, faultText, keysOf } from './faults/catalogue.ts';
export { faultPlaceIssues } from './faults/fault-issues.ts';
export type { FaultCount } from './faults/injector.ts';
export { type GuestPlace, guestPlaces, type NamedRam } from './guest-places.ts';
export {
  type Header,
  type HeaderProblem,
  type HeaderSetting,
  readHeader,
  readSettingWord,
  settingWords,
} from './header.ts';
export {
  DEFAULT_KERNEL,
  holding,
  KERNEL_PARAMETERS,
  KERNELS,
  type Kernel,
  type KernelParameter,
  printValue,
} from './kernels.ts';
export {
  bootRequestOf,
  elfOf,
  flatStart,
  LOAD_ADDRESS,
  loadProblem,
  roomForProgram,
  Selector,
} from './loader.ts';
export {
  Machine,
  type MachineOptions,
  type MachineSnapshot,
  type MachineStop,
} from './machine.ts';
export { hasMultibootHeader } from './multiboot.ts';
export { type NamedPolicy, namedPolicies, type PolicyFunctions } from './policies.ts';
export {
  COST_PRESETS,
  type CostPreset,
  type CostPresetName,
  FEATURES,
  type Feature,
  hasFeature,
  pcpusOf,
} from './presets.ts';
export { Arrivals } from './probes.ts';
export {
  ACTIVITIES,
  type Activity,
  type GuestProfile,
  type ProfiledBlock,
  profileMachine,
  type VcpuProfile,
} from './profile.ts';
export {
  ProgramData,
  type ProgramDataIssue,
  programSymbols,
  type ResultValue,
  type ResultValues,
} from './program-data.ts';
export {
  INPUT_LABEL,
  type InputRoom,
  inputBytes,
  inputProblem,
  inputRoomOf,
  inputText,
  writeInput,
} from './program-input.ts';
export {
  type ExitReport,
  REPORT_SCHEMA_VERSION,
  type RunReport,
  reportOf,
  type VcpuReport,
  type VmReport,
} from './report.ts';
export { counterLines, exitTable, NO_PAINT, type Paint, reportText } from './report-text.ts';
export { checkScenario, documentOf, moduleFile, SCENARIO, type Scenario } from './scenario.ts';
export { type ParsedDocument, parseScenarioText, type TextPlace } from './scenario-document.ts';
export {
  anything,
  choice,
  forms,
  type Infer,
  type Issue,
  integer,
  jsonSchema,
  list,
  map,
  number,
  object,
  type Path,
  printPath,
  printSize,
  type ReferenceLine,
  reference,
  type Scalar,
  scalarAt,
  text,
  validate,
} from './schema.ts';
export {
  type SerialInput,
  type SerialPause,
  serialInputOf,
  serialText,
} from './serial-input.ts';
export {
  applySetting,
  applySettings,
  type GivenSetting,
  isGivenAt,
  type ScenarioDocument,
  SETTINGS,
  type Setting,
} from './settings.ts';
export {
  guestStacks,
  type NamedStacks,
  type SpeedscopeFile,
  speedscopeFile,
} from './speedscope.ts';
export {
  type AddressName,
  type NamedRange,
  type SourceLine,
  type SymbolData,
  SymbolMap,
} from './symbol-map.ts';
