/** The configuration's part `auth`: who gets in, and as what. Main thread and command line. */
import { z } from 'zod';
import { browsersSchema } from './config-browsers.js';
import { oidcSchema } from './config-oidc.js';
import { GROUP_NAME_RULE, isGroupName, ROLES, USER_NAME, USER_NAME_RULE } from './person.js';

export const userName = z.string().regex(USER_NAME, USER_NAME_RULE);
export const groupName = z.string().refine(isGroupName, GROUP_NAME_RULE);
export const role = z.enum(ROLES);

export const authSchema = z
  .strictObject({
    mode: z
      .enum(['token', 'none'])
      .default('token')
      .describe('token: every request has a token; none: everybody on this machine is let in, on loopback alone'),
    tokens: z
      .array(
        z.strictObject({
          user: userName,
          sha256: z
            .string()
            .regex(/^[0-9a-f]{64}$/, 'the SHA-256 of the token, 64 hex digits (`fairlead token NAME` prints it)'),
          role: role
            .default('user')
            .describe('operator: sees the system without content; admin: also changes users, tokens and limits'),
          groups: z.array(groupName).max(200).default([]).describe('For rules, limits and budgets that name a group'),
        }),
      )
      .default([])
      .describe('Empty: one token, which the first start makes in the file `token` of the data folder'),
    support: z
      .boolean()
      .default(false)
      .describe('Lets an admin read sessions of others; each look is recorded and shown to the owner'),
    oidc: oidcSchema.optional(),
    browsers: browsersSchema,
  })
  .prefault({});
