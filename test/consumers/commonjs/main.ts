import assert = require('node:assert/strict')
import http = require('node:http')
import peerpulse = require('peerpulse')

const { ConfigError, closeReasons }: typeof peerpulse = require('peerpulse')

assert.throws(() => peerpulse.peerpulse({ drain: { deadlineMs: 1 } }), ConfigError)
assert.equal(peerpulse.default, peerpulse.peerpulse)
assert.equal(closeReasons['half-open'].reconnect, 'yes')

const server = http.createServer((_req, res) => res.end('hello'))
const pulse: peerpulse.Peerpulse = peerpulse.peerpulse()
pulse.attach(server)
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as { port: number }
  http.get({ port, host: '127.0.0.1', path: '/livez', agent: false }, (res) => {
    assert.equal(res.statusCode, 200)
    res.resume().on('end', async () => {
      assert.equal(pulse.snapshot().totals.opened, 1)
      await pulse.detach()
      server.close(() => console.log('the CommonJS consumer is content'))
    })
  })
})
