// Commands for remote clients: `monitor` in gdb, the debug console of VS Code. The rows of the one
// table that do not move the machine.

import { contextOf } from './commands/command.ts';
import { isCommandName, understand } from './commands/table.ts';
import { DebugError } from './debug-error.ts';
import type { Session } from './session.ts';

/** Execute a command: what it says, or what is wrong with it. */
export function monitorCommand(session: Session, vcpu: number, text: string): string {
  const said = printable(text).trim();
  try {
    const { command, argument, format } = understand(said === '' ? 'help' : said, 'monitor');
    const work = command.execute(contextOf(session, vcpu), argument, format);
    for (;;) {
      const step = work.next();
      if (step.done === true) return `${step.value.join('\n')}\n`;
    }
  } catch (thrown) {
    if (thrown instanceof DebugError) return `${thrown.message}\n`;
    throw thrown;
  }
}

/** Whether the first word of a text is a command: its whole name, as parts may be registers. */
export function isMonitorCommand(text: string): boolean {
  return isCommandName(/^\s*([^\s/]*)/.exec(text)?.[1] ?? '', 'monitor');
}

/** ASCII only: what comes may be anything. */
function printable(text: string): string {
  return text.slice(0, MAX_TEXT).replace(/[^ -~]/g, '?');
}

const MAX_TEXT = 200;
