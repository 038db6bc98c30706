/** Turns what somebody writes as a server's address into its two base addresses. Pure. */
import { ClientError } from './client-error.js';

export interface Address {
  /** Base of the HTTP routes, without a slash at the end. */
  http: string;
  /** The WebSocket's address, without a query. */
  ws: string;
}

/** Takes http, https, ws and wss, with or without `/v1/ws`. ERR_CONFIG for anything else. */
export function parseAddress(text: string): Address {
  const [, scheme = '', secure = '', rest = ''] = /^(http|ws)(s?):\/\/([^?#@]+)$/i.exec(text) ?? [];
  if (scheme === '') {
    throw new ClientError('ERR_CONFIG', 'the url must be like https://ai.example.org');
  }
  const place = rest.replace(/\/+$/, '').replace(/\/v1\/ws$/, '');
  const s = secure.toLowerCase();
  return { http: `http${s}://${place}`, ws: `ws${s}://${place}/v1/ws` };
}

/** With its question mark; what is undefined is left out. */
export function queryOf(values: Record<string, string | number | undefined>): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) if (value !== undefined) query.set(key, String(value));
  return `?${query.toString()}`;
}
