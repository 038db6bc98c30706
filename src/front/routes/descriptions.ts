/** Routes of /v1/openapi.json and /v1/asyncapi.json: the interfaces as machines read them, made at the first request. Main thread. */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import type { ConsoleFile } from '../console-files.js';
import type { Header } from '../http.js';
import type { JsonSchema } from '../description/json-schemas.js';
import { get, type Route } from '../router.js';
import { sendFile } from '../send-file.js';

const HEADERS: readonly Header[] = [['Cache-Control', 'no-cache']];
/** A fifth of the time of the best, for a few per cent more. */
const QUALITY = 5;

export function descriptionRoutes(routes: () => readonly Route[]): Route[] {
  return [
    described('/v1/openapi.json', async () => (await import('../description/openapi.js')).describeHttp(routes())),
    described('/v1/asyncapi.json', async () => (await import('../description/asyncapi.js')).describeWebSocket()),
  ];
}

function described(path: string, make: () => Promise<JsonSchema>): Route {
  let file: Promise<ConsoleFile> | undefined;
  return get(
    path,
    async ({ exchange }) => {
      file ??= make().then(toFile);
      sendFile(exchange, await file, HEADERS);
    },
    { access: 'open' },
  );
}

async function toFile(document: JsonSchema): Promise<ConsoleFile> {
  const body = Buffer.from(JSON.stringify(document));
  const params = { [constants.BROTLI_PARAM_QUALITY]: QUALITY };
  const [br, gz] = await Promise.all([promisify(brotliCompress)(body, { params }), promisify(gzip)(body)]);
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  return { type: 'application/json', etag, body, compressed: { br, gzip: gz } };
}
