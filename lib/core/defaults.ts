const MiB = 1024 * 1024

/**
 * Every section's defaults, the one place they stand. docs/config.md gives the reason of each and is held against
 * this table by a test. A section that is `false` here is off until asked for; its own defaults are below.
 */
export const defaults = {
  heartbeat: { intervalMs: 25_000, timeoutMs: 10_000, tcpKeepAliveMs: 30_000 },
  idle: { websocketMs: false, sseMs: false, upgradedMs: false, inboundMs: false },
  lifetime: false,
  budget: {
    perConnectionBytes: 16 * MiB,
    highWaterBytes: MiB,
    lowWaterBytes: MiB / 4,
    stalledMs: 2_000,
    totalBytes: 'auto',
  },
  pressure: {
    memory: { limitBytes: 'auto' },
    enter: [0.8, 0.92],
    leave: [0.7, 0.85],
    dwellMs: 5_000,
    warmUpMs: 10_000,
    eventLoop: false,
    monitors: [],
    actions: {
      closeConnections: 'elevated',
      shortenTimeouts: 'elevated',
      refuseUpgrades: 'elevated',
      refuseRequests: 'critical',
      pauseReading: 'critical',
      evict: 0.96,
    },
  },
  limits: {
    maxConnections: false,
    maxPerPeer: false,
    ipv6PrefixBits: 64,
    handshakeTimeoutMs: 10_000,
    trustProxy: false,
  },
  drain: {
    signals: ['SIGTERM', 'SIGINT'],
    readinessDelayMs: 5_000,
    spreadMs: 5_000,
    closeTimeoutMs: 2_000,
    deadlineMs: 25_000,
    restart: true,
    uncaught: false,
    hookTimeoutMs: 5_000,
  },
  probes: {
    livez: '/livez',
    readyz: '/readyz',
    startupz: '/startupz',
    port: false,
    checkTimeoutMs: 900,
    cacheMs: 1_000,
    pressure: { failAfterMs: 5_000, maxOutMs: 30_000 },
    details: 'loopback',
  },
  behind: false,
  history: { maxCloses: 1_000, maxPeers: 5_000 },
  log: false,
  dryRun: false,
} as const

/** Defaults inside sections that are off by default. */
export const sectionDefaults = { lifetime: { jitter: 0.1 } } as const

/** A balancer's idle timeout leaves room for two pings and the way there. */
export const pingShareOfIdleTimeout = 0.4
/** Node must keep a pooled socket longer than the balancer in front does, or it closes one that is being used. */
export const keepAliveBeyondBalancerMs = 5_000
