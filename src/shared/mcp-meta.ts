/** Keys of ours in the `_meta` of MCP messages. Pure; any thread, and in the sandbox. */

/** In a `tools/call`: the bytes of text that the result may have. A server that heeds it can say what is missing, and how to get it. */
export const MAX_RESULT_META = 'fairlead/maxResultBytes';
/** In a result of `tools/call` of a server in a sandbox: what the call has changed in the workspace, as `FileChanges`. */
export const CHANGES_META = 'fairlead/changes';
/** In the first `tools/call` of run_command in a sandbox whose files come from a save: what else the session had there is gone. */
export const RESTORED_META = 'fairlead/restored';
