/** Routes of /healthz, /readyz and /metrics. Main thread. */
import type { Presence } from '../presence.js';
import { get, type Route } from '../router.js';

export interface HealthParts {
  presence: Presence;
  readiness: () => { ready: boolean; reasons: string[] };
  metrics: () => Promise<string>;
  /** Without it `/metrics` is not here. */
  withMetrics: boolean;
}

export function healthRoutes({ presence, readiness, metrics, withMetrics }: HealthParts): Route[] {
  return [
    get('/healthz', ({ exchange }) => exchange.json(200, { status: 'ok' }), { access: 'probe' }),
    get(
      '/readyz',
      ({ exchange }) => {
        const { ready, reasons } = readiness();
        const why = presence.draining && !reasons.includes('draining') ? [...reasons, 'draining'] : reasons;
        if (ready && !presence.draining) exchange.json(200, { ready: true, reasons: [] });
        else exchange.json(503, { ready: false, reasons: why }, [['Retry-After', '5']]);
      },
      { access: 'probe' },
    ),
    ...(withMetrics ? [metricsRoute(metrics)] : []),
  ];
}

function metricsRoute(metrics: HealthParts['metrics']): Route {
  return get(
    '/metrics',
    async ({ exchange }) => exchange.answer(200, 'text/plain; version=0.0.4; charset=utf-8', await metrics()),
    { access: 'metrics' },
  );
}
