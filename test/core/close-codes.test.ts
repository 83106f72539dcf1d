import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { type CloseReason, closeReasons } from 'peerpulse'
import { openWebSocket, start } from '../policies/support.js'

/** Clients such as graphql-ws give up at every code of the protocol but these. 1000 is sent where we have no code of our own. */
const comesBackAfter = new Set([1000, 1001, 1012, 1013])

test('whoever should reconnect gets a code that no client takes for final, and "later" is always 1013', async (t) => {
  const { pulse, port, wss } = await start(t, {})
  for (const [reason, { reconnect }] of Object.entries(closeReasons)) {
    const client = await openWebSocket(t, port)
    const [server] = [...wss.clients].filter(({ readyState }) => readyState === client.OPEN)
    assert.ok(server)
    const closed = once(client, 'close')
    pulse.connectionOf(server)?.close(reason as CloseReason)
    const [code, text] = (await closed) as [number, Buffer]
    assert.match(String(text), reconnect === 'no' ? /^[a-z-]+$/ : /^[a-z-]+; reconnect=\d+\.\.\d+$/, reason)
    if (reconnect !== 'no') assert.ok(comesBackAfter.has(code), `${reason} is sent as ${code}`)
    if (reconnect === 'later') assert.equal(code, 1013, reason)
  }
})
