/** The tools in this very process: in the runner, or in a server that has none. Runs in the sandbox. */
import { Workspace } from './paths.js';
import { killEverything as killCommands } from './process-groups.js';
import { removeAwaitedStates, Shell } from './shell.js';
import { workspaceTools, type Tool } from './tools.js';

/** At the exit of the server that runs the tools itself. */
export function killEverything(): void {
  killCommands();
  removeAwaitedStates();
}

/** Rejects with NOT_FOUND or NOT_A_FOLDER. */
export async function openTools(shell = new Shell()): Promise<Tool[]> {
  return workspaceTools(await Workspace.open(process.env['FAIRLEAD_WORKSPACE'] ?? '/workspace'), shell);
}
