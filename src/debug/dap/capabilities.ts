// What the adapter says it can do; each of these is implemented.

import type { DebugProtocol } from '@vscode/debugprotocol';
import { EXIT_REASONS } from '../../vmx/index.ts';

/** Every VM-exit reason that happens here is an exception that the client may stop at. */
export const EXIT_FILTERS: readonly DebugProtocol.ExceptionBreakpointsFilter[] =
  EXIT_REASONS.filter(({ handled }) => handled).map(({ name, meaning }) => ({
    filter: name,
    label: `VM exit: ${name}`,
    description: meaning,
    supportsCondition: true,
    conditionDescription: 'such as vcpu == 1, rip == 0x100040 or qualification != 0',
  }));

export const CAPABILITIES: DebugProtocol.Capabilities = {
  supportsConfigurationDoneRequest: true,
  supportsFunctionBreakpoints: true,
  supportsConditionalBreakpoints: true,
  supportsHitConditionalBreakpoints: true,
  supportsEvaluateForHovers: true,
  supportsStepBack: true,
  supportsSetVariable: true,
  supportsSetExpression: true,
  supportsGotoTargetsRequest: true,
  supportsCompletionsRequest: true,
  completionTriggerCharacters: ['.', '$', '['],
  supportsExceptionFilterOptions: true,
  supportsExceptionInfoRequest: true,
  supportsDelayedStackTraceLoading: true,
  supportsLoadedSourcesRequest: true,
  supportsLogPoints: true,
  supportsTerminateRequest: true,
  supportsDataBreakpoints: true,
  supportsDataBreakpointBytes: true,
  supportsReadMemoryRequest: true,
  supportsWriteMemoryRequest: true,
  supportsDisassembleRequest: true,
  supportsBreakpointLocationsRequest: true,
  supportsSteppingGranularity: true,
  supportsInstructionBreakpoints: true,
  exceptionBreakpointFilters: [...EXIT_FILTERS],
};
