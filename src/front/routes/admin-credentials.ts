/** Routes of /v1/admin/tokens and of blocks: tokens that are made live, and blocked users. Main thread. */
import { z } from 'zod';
import type { Credentials } from '../../credentials/credentials.js';
import { groupName, role, userName } from '../../shared/config-auth.js';
import { FairleadError } from '../../shared/errors.js';
import { badFrame } from '../frames.js';
import { del, get, post, type Route, type RouteCall } from '../router.js';

const DEFAULT_PAGE = 100;
const MAX_PAGE = 500;
const MAX_TEXT = 200;
const MAX_GROUPS = 200;
const MIN_LIFE_MS = 1_000;
/** Ten years: longer is no expiry. */
const MAX_LIFE_MS = 10 * 366 * 86_400_000;
const ADMIN = { access: 'admin' } as const;
/** It lets nobody in, so it waits for no audit log; its entry is written when that can be. */
const ENDING = { access: 'admin', always: true } as const;

/** It is shown in lists and kept in the audit log. */
const shortText = z
  .string()
  .min(1)
  .max(MAX_TEXT)
  .refine((text) => !/[\p{C}\p{Zl}\p{Zp}]/u.test(text), 'has control characters');

const tokenBody = z.strictObject({
  user: userName,
  role: role.default('user'),
  groups: z.array(groupName).max(MAX_GROUPS).default([]),
  note: shortText.nullish(),
  expiresInMs: z
    .number()
    .refine(
      (ms) => Number.isInteger(ms) && ms >= MIN_LIFE_MS && ms <= MAX_LIFE_MS,
      'must be whole ms from a second to ten years',
    )
    .nullish(),
});

const blockBody = z.strictObject({ reason: shortText.nullish() });

export function credentialRoutes(credentials: Credentials): Route[] {
  return [
    post(
      '/v1/admin/tokens',
      tokenBody,
      async (call, { note, expiresInMs, ...order }) => {
        const { token, shown } = await credentials.make(
          { ...order, note: note ?? undefined, expiresInMs: expiresInMs ?? undefined },
          actorOf(call),
        );
        call.exchange.json(201, { ...shown, token }, [['Location', `/v1/admin/tokens/${shown.id}`]]);
      },
      ADMIN,
    ),
    get(
      '/v1/admin/tokens',
      async ({ exchange, query }) => {
        const { tokens, next } = await credentials.list(limitOf(query), afterOf(query), query.get('user') || undefined);
        exchange.json(200, { tokens, ...(next !== undefined && { next: String(next) }) });
      },
      ADMIN,
    ),
    del(
      '/v1/admin/tokens/:id',
      async (call) => {
        const id = call.params['id']!;
        if (!(await credentials.revoke(id, actorOf(call)))) throw new FairleadError('ERR_NOT_FOUND', `no token ${id}`);
        call.exchange.empty(204);
      },
      ENDING,
    ),
    post(
      '/v1/admin/users/:user/block',
      blockBody,
      async (call, { reason }) => {
        const user = userOf(call);
        const blocked = await credentials.block(user, reason ?? undefined, actorOf(call));
        call.exchange.json(200, { user, blocked });
      },
      ENDING,
    ),
    del(
      '/v1/admin/users/:user/block',
      async (call) => {
        const user = userOf(call);
        if (!(await credentials.unblock(user, actorOf(call)))) {
          throw new FairleadError('ERR_NOT_FOUND', `${user} is not blocked`);
        }
        call.exchange.empty(204);
      },
      ADMIN,
    ),
  ];
}

export function actorOf({ user, who }: RouteCall): { user: string; credential: string; address: string } {
  return { user, credential: who.credential, address: who.address };
}

/** ERR_BAD_FRAME for a name that nobody can have. */
export function userOf({ params }: RouteCall): string {
  const parsed = userName.safeParse(params['user']);
  if (!parsed.success) throw badFrame(parsed.error.issues[0]?.message ?? 'no user has this name');
  return parsed.data;
}

/** Of lists of tokens and of users. */
export function limitOf(query: URLSearchParams): number {
  const text = query.get('limit');
  if (text === null) return DEFAULT_PAGE;
  const limit = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (limit < 1) throw badFrame('limit must be an integer of 1 or more');
  return Math.min(limit, MAX_PAGE);
}

export function afterOf(query: URLSearchParams): number {
  const text = query.get('after') || query.get('cursor') || '0';
  if (!/^\d{1,15}$/.test(text)) throw badFrame('after must be `next` of the page before');
  return Number(text);
}
