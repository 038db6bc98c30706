/** Says in words why TLS does not trust a server, or is not what the other side speaks. Pure. Command line's process. */

/** OpenSSL's names for a chain that leads to no authority of this machine. */
const UNKNOWN_AUTHORITY: ReadonlySet<string> = new Set([
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** Undefined for what is no matter of TLS. `thrown`: of a socket, or with one of a socket as its cause. */
export function tlsWords(thrown: unknown): string | undefined {
  const { code = '', message, cert } = innermost(thrown);
  if (UNKNOWN_AUTHORITY.has(code)) {
    return `the server's certificate is not trusted here (${code}): set NODE_EXTRA_CA_CERTS to a file with the certificate of its authority, in PEM; where it has signed itself, with that one`;
  }
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return "the server's certificate has expired: its operator renews it (or is this machine's clock wrong?)";
    case 'CERT_NOT_YET_VALID':
      return "the server's certificate does not count yet: is this machine's clock wrong?";
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `the server's certificate is for another name: use one of its own (${cert?.subjectaltname ?? message})`;
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
      return 'the server does not speak TLS there: write http://, or name the port of TLS';
    case 'EPROTO':
      return `the two sides do not agree on TLS: ${message}`;
    default:
      return undefined;
  }
}

/** A server with TLS cuts whoever talks plain HTTP to it. */
export function cutWords(thrown: unknown, url: string): string | undefined {
  const { code = '', message } = innermost(thrown);
  if (!/^(http|ws):/.test(url)) return undefined;
  if (code !== 'ECONNRESET' && code !== 'UND_ERR_SOCKET' && !/socket hang up/.test(message)) return undefined;
  return 'the server cut the connection: where it speaks TLS, write https://';
}

interface SocketError extends NodeJS.ErrnoException {
  /** The certificate that was refused. */
  cert?: { subjectaltname?: string };
}

function innermost(thrown: unknown): SocketError {
  let found = thrown;
  while (found instanceof Error && found.cause instanceof Error) found = found.cause;
  return found instanceof Error ? found : new Error(String(found));
}
