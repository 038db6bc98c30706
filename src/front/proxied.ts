/** Tells by its headers that a request came through a proxy. Pure. Main thread. */

/** What nginx, Apache, HAProxy, Caddy, Traefik, Envoy, the clouds and tunnels add, by default or by their manuals' examples. */
const ADDED_BY_PROXIES =
  /^(forwarded|via|x-forwarded(-.*)?|x-real-ip|x-client-ip|x-cluster-client-ip|x-original-(host|for|uri|url|forwarded-for)|x-envoy-.*|true-client-ip|cf-(connecting-ip|ray|visitor)|fly-client-ip|x-azure-.*|x-amzn-trace-id|tailscale-.*)$/;

/** The first such header's name, or ''. `each` visits all headers, names in lower case. */
export function proxyHeader(each: (visit: (name: string) => void) => void): string {
  let found = '';
  each((name) => {
    if (found === '' && ADDED_BY_PROXIES.test(name)) found = name;
  });
  return found;
}
