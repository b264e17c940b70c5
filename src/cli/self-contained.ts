// A scenario as a document that needs no other file: the contents of its programs are in it.

import { documentOf, type Scenario, type ScenarioDocument } from '../machine/index.ts';

/** A checked scenario and the bytes of its programs and their modules. */
export interface Contained {
  readonly scenario: Scenario;
  readonly programs: readonly Uint8Array[];
  readonly modules: readonly (readonly Uint8Array[])[];
}

export function selfContained({ scenario, programs, modules }: Contained): ScenarioDocument {
  const vms = scenario.vms.map((vm, i) => ({
    ...vm,
    image: base64(programs[i]),
    module_images: modules[i].map(base64),
  }));
  return documentOf({ ...scenario, vms });
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
