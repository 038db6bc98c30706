/** Tells by its headers that a request came through a proxy. Pure. Main thread. */

/** What nginx, Apache, HAProxy, Caddy, Traefik, Envoy, the clouds and tunnels add, by default or by their manuals' examples. */
const ADDED_BY_PROXIES =
  /^(forwarded|via|cdn-loop|x-forwarded(-.*)?|(x-)?client-ip|x-real-ip|x-remote-(ip|addr|user)|remote-user|x-cluster-client-ip|x-proxyuser-ip|x-nginx-proxy|x-original-(host|for|uri|url|forwarded-for)|x-(url-)?scheme|front-end-https|x-request-start|x-auth-request-.*|x-envoy-.*|true-client-ip|cf-(connecting-ip|ray|visitor)|(fly|fastly)-client-ip|x-azure-.*|x-arr-.*|x-appengine-.*|x-cloud-trace-context|x-vercel-.*|x-amzn-trace-id|ali-cdn-real-ip|tailscale-.*)$/;

/** The first such header's name, or ''. `each` visits all headers, names in lower case. */
export function proxyHeader(each: (visit: (name: string) => void) => void): string {
  let found = '';
  each((name) => {
    if (found === '' && ADDED_BY_PROXIES.test(name)) found = name;
  });
  return found;
}
