/** The command line of `fairlead export`: one's own data, as a tar. Command line's process. */
import type { Command } from 'commander';
import { URL_HELP } from '../defaults.js';

interface ExportFlags {
  url?: string;
  token?: string;
  json?: boolean;
  insecure?: boolean;
}

/** A workspace may be saved and unpacked before the next bytes come. */
export const EXPORT_IDLE_MS = 300_000;

export function addExportCommand(program: Command, tokenHelp: string): void {
  program
    .command('export')
    .description('write all that a server keeps of you to a file (tar)')
    .argument('<file>', 'the file, which must not exist yet')
    .option('--url <url>', URL_HELP)
    .option('--token <token>', tokenHelp)
    .option('--insecure', 'send the token over plain http beyond this machine')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Your sessions with messages, events and workspaces, your usage, and the names of your tokens. What could not be had is told and stands in
its manifest.json. An administrator exports a user with “fairlead admin users export”.

Examples:
  $ fairlead export mine.tar
  $ tar -tf mine.tar`,
    )
    .action(async (file: string, { url: given, token, json = false, insecure = false }: ExportFlags) => {
      const [{ writeExport, exportText }, { tokenFor }, { urlOr }, { safeEndpoint }, { HttpApi }] = await Promise.all([
        import('./export-file.js'),
        import('../local-token.js'),
        import('../local-url.js'),
        import('../endpoint.js'),
        import('../http-api.js'),
      ]);
      const url = urlOr(given);
      const bearer = tokenFor({ given: token, url }).token;
      const api = new HttpApi(safeEndpoint({ url, token: bearer, insecure }).http, bearer);
      const manifest = await writeExport(file, api.download('/v1/export', EXPORT_IDLE_MS));
      process.stdout.write(json ? `${JSON.stringify(manifest)}\n` : exportText(manifest, file));
    });
}
