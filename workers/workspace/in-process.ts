/** The tools in this very process: in the runner, or in a server that has none. Runs in the sandbox. */
import { Workspace } from './paths.js';
import { Shell } from './shell.js';
import { workspaceTools, type Tool } from './tools.js';

export { killEverything } from './process-groups.js';

/** Rejects with NOT_FOUND or NOT_A_FOLDER. */
export async function openTools(shell = new Shell()): Promise<Tool[]> {
  return workspaceTools(await Workspace.open(process.env['FAIRLEAD_WORKSPACE'] ?? '/workspace'), shell);
}
