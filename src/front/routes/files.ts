/** Routes of /v1/sessions/ID/files…: the files of the session's workspace, in and out. Main thread. */
import { z } from 'zod';
import type { ListedFile } from '../../../workers/docker/contract/files.js';
import type { Config } from '../../shared/config.js';
import type { Logger } from '../../shared/log.js';
import { badFrame } from '../frames.js';
import { FileDesk, type FileDeskOptions } from '../files/file-desk.js';
import { archive, formatOf } from '../files/archive.js';
import { download, NO_CONDITIONS } from '../files/download.js';
import { etagOf } from '../files/file-headers.js';
import { matched, upload } from '../files/upload.js';
import { del, get, post, put, type Route, type RouteCall } from '../router.js';

const DEFAULT_PAGE = 200;
const MAX_PAGE = 1_000;
const MIB = 1_048_576;
const MAX_PATH = 16_384;

const moveBody = z.strictObject({
  from: z.string().min(1).max(MAX_PATH),
  to: z.string().min(1).max(MAX_PATH),
  overwrite: z.boolean().optional(),
});

export interface FileParts extends Pick<FileDeskOptions, 'docker' | 'limits'> {
  sandbox: Pick<Config['sandbox'], 'workspaceMb'>;
}

export interface FileRoutesOptions extends FileParts, FileDeskOptions {
  log: Logger;
}

export function fileRoutes({ sandbox, log, ...options }: FileRoutesOptions): Route[] {
  const desk = new FileDesk({ ...options, log });
  return [
    get('/v1/sessions/:session/files', async (call) => {
      const { query } = call;
      const path = query.get('path') ?? '';
      const after = query.get('after') ?? undefined;
      const page = {
        recursive: flagOf(query, 'recursive'),
        limit: pageOf(query),
        ...(after !== undefined && { after }),
      };
      const listed = await desk.look(call, async ({ session, server }) => {
        const found = await desk.ask('list-files', { session, server, path, ...page });
        return found.files ? { ...found, server } : undefined;
      });
      call.exchange.json(200, { ...listed, files: listed.files.map(toJson) });
    }),
    get('/v1/sessions/:session/files/content', async (call) => {
      const path = pathOf(call);
      await desk.look(call, (held) => download(call, { desk, log, path }, held));
    }),
    get(
      '/v1/sessions/:session/files/archive',
      async (call) => {
        const { query } = call;
        const asked = { desk, log, path: query.get('path') ?? '', format: formatOf(query.get('format')) };
        await desk.look(call, (held) => archive(call, asked, held));
      },
      { noHead: true }, // its length is known at its end
    ),
    put('/v1/sessions/:session/files/content', async (call) => {
      const path = pathOf(call);
      const maxBytes = sandbox.workspaceMb * MIB;
      await desk.with(call, 'upload', (held) => upload(call, { desk, path, maxBytes }, held));
    }),
    del('/v1/sessions/:session/files/content', async (call) => {
      const path = pathOf(call);
      const recursive = flagOf(call.query, 'recursive');
      await desk.with(call, 'delete', async ({ session, server }) => {
        const of = { session, server, path };
        const expect = await matched(desk, of, call.exchange.head.conditions ?? NO_CONDITIONS);
        await desk.ask('delete-file', { ...of, recursive, ...(expect !== undefined && { expect }) });
      });
      await desk.tell(call, { path, change: 'deleted' });
      call.exchange.empty(204);
    }),
    post('/v1/sessions/:session/files/move', moveBody, async (call, { from, to, overwrite = false }) => {
      await desk.with(call, 'move', ({ session, server }) =>
        desk.ask('move-file', { session, server, from, to, overwrite }),
      );
      await desk.tell(call, { path: to, change: 'moved', from });
      call.exchange.json(200, { from, to });
    }),
  ];
}

/** Entity tags are of files alone. */
function toJson({ path, type, size, mtimeMs, version }: ListedFile): object {
  return { path, type, size, mtimeMs, ...(type === 'file' && { etag: etagOf({ version }) }) };
}

/** ERR_BAD_FRAME without one. */
function pathOf({ query }: RouteCall): string {
  const path = query.get('path') ?? '';
  if (path === '') throw badFrame('say which file: ?path=');
  return path;
}

function pageOf(query: URLSearchParams): number {
  const text = query.get('limit');
  if (text === null) return DEFAULT_PAGE;
  const limit = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (limit < 1) throw badFrame('limit must be an integer of 1 or more');
  return Math.min(limit, MAX_PAGE);
}

function flagOf(query: URLSearchParams, name: string): boolean {
  const text = query.get(name);
  if (text !== null && !['true', 'false', '1', '0', ''].includes(text)) throw badFrame(`${name}: true or false`);
  return text === 'true' || text === '1' || text === '';
}
