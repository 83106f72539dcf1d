import type { IncomingMessage } from 'node:http'

/** `localhost` and names below it, 127.0.0.0/8 and ::1, with or without a port. */
const loopbackHost =
  /^(?:(?:[\w-]+\.)*localhost\.?|127(?:\.\d{1,3}){3}|\[::1\]|\[::ffff:127(?:\.\d{1,3}){3}\])(?::\d*)?$/i

/** Headers that proxies set, and no person does. */
const ofProxies =
  /^(?:forwarded|via|x-forwarded(?:-.*)?|x-real-ip|x-client-ip|x-cluster-client-ip|x-original-.*|x-envoy-.*|x-amzn-.*|x-cloud-trace-context|x-azure-.*|true-client-ip|client-ip|cdn-loop|cf-.*|fastly-.*|fly-.*|proxy-.*)$/

/**
 * Whether a request comes from a person or a script on this machine, and was not passed on by a proxy that runs here: by
 * its socket, by the name it was sent to, and by what proxies add. nginx speaks HTTP/1.0 to what is behind it unless told
 * otherwise. A unix socket is made for a proxy, whose `Host` is `localhost` by default: it does not count.
 */
export function isFromLoopback({ socket, headers, httpVersion }: IncomingMessage): boolean {
  const { remoteAddress = '' } = socket
  if (remoteAddress !== '::1' && !/^(?:::ffff:)?127\./.test(remoteAddress)) return false
  if (httpVersion === '1.0' || !loopbackHost.test(headers.host ?? '')) return false
  // nginx, as it is set up for WebSockets, says so of every request.
  if (headers.upgrade === undefined && /\bupgrade\b/i.test(headers.connection ?? '')) return false
  return !Object.keys(headers).some((name) => ofProxies.test(name))
}
