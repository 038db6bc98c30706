/** How leases end, and how long they take. Docker thread. */
import { counter, histogram } from '../../../src/shared/metrics.js';

export const leasesTotal = counter('fairlead_sandbox_leases_total', 'Sandboxes asked for', ['outcome']);
export const leaseSeconds = histogram(
  'fairlead_sandbox_lease_seconds',
  'From the request to the hand-over of a sandbox',
  [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
);
