/** How long an instance goes on serving while its readiness fails. */
export const readinessDelayMs = 1_000
/** Between two health checks of the balancer; two failures in a row take an instance out. */
export const checkEveryMs = 200
/** The longest request of the load. */
export const slowMs = 800
