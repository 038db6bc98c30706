/** The front's metrics. Main thread. */
import { counter, gauge } from '../shared/metrics.js';

export const connectionsGauge = gauge('fairlead_connections', 'Open WebSockets and HTTP event streams');
/** Plain numbers, since a counter's own `inc` makes up a tenth of a small frame's cost. */
export const frames = { in: 0, out: 0 };
counter('fairlead_frames_total', 'WebSocket frames', ['direction'], () => [
  { labels: { direction: 'in' }, count: frames.in },
  { labels: { direction: 'out' }, count: frames.out },
]);
export const httpRequestsTotal = counter('fairlead_http_requests_total', 'HTTP requests answered', ['route', 'status']);
export const slowReaderCloses = counter('fairlead_slow_reader_closes_total', 'Readers cut for too many unsent bytes');
export const badFramesTotal = counter('fairlead_bad_frames_total', 'Client frames that break the protocol');
