/** The doctor's check of the certificate that clients see at the public address. Command line's process. */
import { connect } from 'node:tls';
import { ownNames, readCertificate } from '../../shared/certificate.js';
import type { Config } from '../../shared/config.js';
import { isFairleadError } from '../../shared/errors.js';
import { messageOf } from '../report.js';
import type { Finding } from './doctor.js';

const CONNECT_MS = 5_000;
const DAY_MS = 86_400_000;
const SOON_DAYS = 14;

/** Nothing where neither `listen.tls` nor a public address with TLS is configured. */
export async function checkCertificate(config: Config): Promise<Finding[]> {
  return [...ownCertificate(config), ...(await publicCertificate(config))];
}

/** That of `listen.tls`, as the start reads it. */
function ownCertificate(config: Config): Finding[] {
  const { tls } = config.listen;
  if (!tls) return [];
  try {
    const { names, endsAt, warnings } = readCertificate(tls, ownNames(config));
    if (warnings.length > 0) return warnings.map((detail): Finding => ({ status: 'warning', detail }));
    return [{ status: 'ok', detail: `${tls.cert}: ${names}, until ${endsAt.toISOString().slice(0, 10)}` }];
  } catch (error) {
    if (!isFairleadError(error, 'ERR_START')) throw error;
    return [
      {
        status: 'failed',
        detail: error.message,
        hint: 'correct the files of listen.tls: the server does not start so',
      },
    ];
  }
}

async function publicCertificate({ mcp }: Config): Promise<Finding[]> {
  const { publicUrl } = mcp;
  const url = publicUrl && URL.canParse(publicUrl) ? new URL(publicUrl) : undefined;
  if (url?.protocol !== 'https:') return [];
  const at = `${url.hostname}:${url.port || 443}`;
  try {
    const seen = await look(url.hostname.replace(/^\[|\]$/g, ''), Number(url.port) || 443);
    return [judgeCertificate(at, seen, Date.now())];
  } catch (error) {
    const hint =
      'is the proxy running, and does the name lead here? From this host the public address may be out of reach';
    return [{ status: 'warning', detail: `no TLS at ${at} (${messageOf(error)})`, hint }];
  }
}

export interface SeenCertificate {
  /** OpenSSL's word of why it is not to be trusted; undefined: it is. */
  problem: string | undefined;
  /** ms since the epoch. */
  endsAt: number;
}

export function judgeCertificate(at: string, { problem, endsAt }: SeenCertificate, now: number): Finding {
  const days = Math.floor((endsAt - now) / DAY_MS);
  const ends = new Date(endsAt).toISOString().slice(0, 10);
  if (days < 0)
    return {
      status: 'failed',
      detail: `the certificate at ${at} ended on ${ends}`,
      hint: 'renew it, and let the proxy read it again',
    };
  if (problem !== undefined)
    return { status: 'failed', detail: `clients refuse the certificate at ${at}: ${problem}`, hint: hintFor(problem) };
  if (days < SOON_DAYS)
    return {
      status: 'warning',
      detail: `the certificate at ${at} ends in ${days} days, on ${ends}`,
      hint: 'see why it was not renewed',
    };
  return { status: 'ok', detail: `${at}, until ${ends}` };
}

function hintFor(problem: string): string {
  if (/altname/i.test(problem)) return 'the certificate must have the name of mcp.publicUrl';
  if (/SELF_SIGNED|UNABLE_TO|ISSUER/.test(problem)) {
    return 'serve the whole chain (fullchain.pem); for an authority of your own set NODE_EXTRA_CA_CERTS here and at the clients';
  }
  return 'let an authority that clients know sign it';
}

/** Takes any certificate, so that a bad one can be described: nothing is sent over this connection. */
function look(host: string, port: number): Promise<SeenCertificate> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, servername: /^[\d.]+$|:/.test(host) ? '' : host, rejectUnauthorized: false });
    const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${CONNECT_MS / 1_000} s`)), CONNECT_MS);
    socket.once('error', reject);
    socket.once('close', () => clearTimeout(timer));
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerCertificate();
      const problem = socket.authorized ? undefined : String(socket.authorizationError);
      socket.end();
      resolve({ problem, endsAt: Date.parse(certificate.valid_to) });
    });
  });
}
