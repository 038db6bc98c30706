/** Checks what clients send: WebSocket frames, and the HTTP bodies that mean the same. Main thread. */
import { z } from 'zod';
import { FairleadError } from '../shared/errors.js';
import { judgeGivenImage } from '../shared/image-facts.js';
import type { ClientFrame, UserBlock } from '../shared/protocol.js';
import { parseJson } from './parse-json.js';

const id = z.string().min(1).max(128);
/** Ids that the server has given. */
const serverId = z.string().min(1).max(256);
/** Unlike `z.record`, this does not copy the object key by key. */
const jsonObject = z
  .custom<Record<string, unknown>>(
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    'must be an object',
  )
  .meta({ type: 'object' });
/** The model's API refuses text without a visible character. The frame limits its length. */
const words = z.string().regex(/\S/, 'must not be empty');

/** An image that nobody can read: `message` comes back as ERR_BAD_IMAGE. */
const BAD_IMAGE = { badImage: true };
/** Base64 of an image. Its agent thread makes it fit the model; what cannot be read at all goes no further than here. */
const imageData = z.string().superRefine((text, context) => {
  const verdict = judgeGivenImage(text);
  if (!verdict.ok) {
    context.addIssue({ code: 'custom', message: `the image ${verdict.why}`, params: BAD_IMAGE });
  }
});

/** A byte of a name may stand as an escape of four characters. */
const MAX_PATH = 16_384;

const userBlock = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text'), text: words }),
  z.strictObject({
    type: z.literal('image'),
    mimeType: z.enum(['image/png', 'image/jpeg', 'image/gif', 'image/webp']),
    data: imageData,
  }),
  z.strictObject({ type: z.literal('file'), path: z.string().min(1).max(MAX_PATH) }),
]);

/** One line, as the list shows it. */
const title = z
  .string()
  .transform((text) => text.trim().replaceAll(/\s+/g, ' '))
  .pipe(words.max(200));

const messageFields = {
  id: id.optional(),
  text: words.optional(),
  content: z.array(userBlock).min(1).max(100).optional(),
};
const approvalFields = {
  approved: z.boolean(),
  args: jsonObject.optional(),
  reason: z.string().max(10_000).optional(),
  remember: z.literal('session').optional(),
  definition: z.string().max(100).optional(),
};
/** `discard`: restart also what cannot be saved, and lose its files. */
const restartFields = { discard: z.boolean().optional() };
const elicitationFields = {
  action: z.enum(['accept', 'decline', 'cancel']),
  content: jsonObject.optional(),
};

/** A JWT of an issuer has as much as a request's head takes. */
const MAX_TOKEN = 16_384;

const ONE_OF = 'needs exactly one of text and content';
function hasOne(message: { text?: string | undefined; content?: UserBlock[] | undefined }): boolean {
  return (message.text === undefined) !== (message.content === undefined);
}

export const frameSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('message'), ...messageFields }).refine(hasOne, ONE_OF),
  z.strictObject({ type: z.literal('tool:approval'), id: id.optional(), callId: serverId, ...approvalFields }),
  z.strictObject({
    type: z.literal('elicitation:reply'),
    id: id.optional(),
    requestId: serverId,
    ...elicitationFields,
  }),
  z.strictObject({ type: z.literal('turn:cancel'), id: id.optional() }),
  z.strictObject({ type: z.literal('history:reset'), id: id.optional() }),
  z.strictObject({ type: z.literal('sandbox:restart'), id: id.optional(), ...restartFields }),
  z.strictObject({ type: z.literal('ping'), id: id.optional() }),
  z.strictObject({
    type: z.literal('auth:refresh'),
    id: id.optional(),
    token: z.string().regex(/^\S+$/).max(MAX_TOKEN),
  }),
]);

const FRAME_TYPES = frameSchema.options.map(({ shape }) => shape.type.value);

export const noBody = z.strictObject({});
export const sessionBody = z.strictObject({
  model: z.string().min(1).max(200).optional(),
  image: z.string().min(1).max(64).optional(),
});
export const renameBody = z.strictObject({ title });
export const messageBody = z.strictObject(messageFields).refine(hasOne, ONE_OF);
export const approvalBody = z.strictObject(approvalFields);
export const restartBody = z.strictObject(restartFields);
export const elicitationBody = z.strictObject(elicitationFields);

export type FrameResult =
  | { ok: true; frame: ClientFrame }
  /** `id`: the bad frame's own, if it can be echoed. */
  | { ok: false; error: FairleadError; id?: string };

/** A ping as nearly all clients write it. They send it all day, and the full check costs six times as much. */
const PING = /^\{"type":"ping"(?:,"id":"([\w.:-]{1,128})")?\}$/;

/** Never throws: a bad frame comes back as ERR_BAD_FRAME that names the field, a bad image as ERR_BAD_IMAGE. */
export function parseFrame(text: string): FrameResult {
  const ping = PING.exec(text);
  if (ping) return { ok: true, frame: ping[1] === undefined ? { type: 'ping' } : { type: 'ping', id: ping[1] } };
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    return { ok: false, error: badFrame(`not JSON: ${(error as Error).message}`) };
  }
  const parsed = frameSchema.safeParse(value);
  if (parsed.success) return { ok: true, frame: parsed.data };
  const echo = id.safeParse((value as { id?: unknown } | null)?.id);
  return { ok: false, error: describe(parsed.error), ...(echo.success ? { id: echo.data } : {}) };
}

/** Checks an HTTP body against its schema. ERR_BAD_FRAME, ERR_BAD_IMAGE. */
export function parseBody<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw describe(parsed.error);
}

export function toUserBlocks(message: { text?: string | undefined; content?: UserBlock[] | undefined }): UserBlock[] {
  return message.content ?? [{ type: 'text', text: message.text ?? '' }];
}

export function badFrame(message: string): FairleadError {
  return new FairleadError('ERR_BAD_FRAME', message);
}

/** A copy without the keys whose value is undefined. */
export function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

function describe(error: z.ZodError): FairleadError {
  const messages = error.issues.slice(0, 5).map((issue) => {
    const path = issue.path.map(String).join('.');
    if (issue.code === 'invalid_union' && path === 'type') return `type: must be one of ${FRAME_TYPES.join(', ')}`;
    if (issue.code === 'unrecognized_keys') {
      const keys = issue.keys.slice(0, 5).map((key) => [path, key.slice(0, 64)].filter(Boolean).join('.'));
      return `${keys.join(', ')}: no such field here`;
    }
    return path === '' ? issue.message : `${path}: ${issue.message}`;
  });
  const isImage = error.issues.every((issue) => issue.code === 'custom' && issue.params === BAD_IMAGE);
  return isImage ? new FairleadError('ERR_BAD_IMAGE', messages.join('; ')) : badFrame(messages.join('; '));
}
