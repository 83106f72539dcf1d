import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { controlFrameAt, isOurPong, isPing, pingPayload } from '../../lib/transports/control-frames.js'
import { clientFrame, opcodes } from '../support/frames.js'

const serverFrame = (first: number, payload: Buffer) =>
  Buffer.concat([Buffer.from([first, payload.length]), payload])

test('pings and pongs are read one after the other, up to what is neither or not whole', () => {
  const frame = fc.record({
    opcode: fc.constantFrom(opcodes.ping, opcodes.pong),
    payload: fc.uint8Array({ maxLength: 125 }).map((bytes) => Buffer.from(bytes)),
  })
  fc.assert(
    fc.property(fc.array(frame), fc.nat({ max: 400 }), (frames, cut) => {
      const whole = frames.map(({ opcode, payload }) => clientFrame(opcode, payload))
      const text = clientFrame(opcodes.text, Buffer.from('hello'))
      const chunk = Buffer.concat([...whole, text]).subarray(0, cut)
      let at = 0
      let read = 0
      for (let size = controlFrameAt(chunk, at); size > 0; size = controlFrameAt(chunk, at)) {
        assert.equal(size, whole[read]?.length)
        assert.equal(isPing(chunk, at), frames[read]?.opcode === opcodes.ping)
        read++
        at += size
      }
      const complete = whole.filter((_, i) => Buffer.concat(whole.slice(0, i + 1)).length <= cut).length
      assert.equal(read, complete)
    }),
  )
})

test('our pongs are told from others, masked by a client or not by a server', () => {
  for (const [payload, isOurs] of [
    [pingPayload, true],
    [Buffer.from('pplt'), false],
    [Buffer.from('pplsx'), false],
    [Buffer.alloc(0), false],
  ] as const) {
    assert.equal(isOurPong(clientFrame(opcodes.pong, payload), 0), isOurs)
    assert.equal(isOurPong(serverFrame(0x8a, payload), 0), isOurs)
    assert.equal(isOurPong(clientFrame(opcodes.ping, payload), 0), false)
  }
})

test('a mask is taken off', () => {
  const mask = [0x37, 0xfa, 0x21, 0x3d]
  const masked = pingPayload.map((byte, i) => byte ^ (mask[i] as number))
  assert.equal(isOurPong(Buffer.from([0x8a, 0x84, ...mask, ...masked]), 0), true)
  assert.equal(isOurPong(Buffer.from([0x8a, 0x84, ...mask, ...pingPayload]), 0), false)
})

test('a frame of another kind, a reserved length and nothing at all are no control frames', () => {
  assert.equal(controlFrameAt(Buffer.alloc(0), 0), 0)
  assert.equal(controlFrameAt(Buffer.from([0x8a]), 0), 0)
  assert.equal(controlFrameAt(Buffer.from([0x8a, 0]), 0), 2)
  assert.equal(controlFrameAt(Buffer.concat([Buffer.from([0x89, 0xfe]), Buffer.alloc(300)]), 0), 0)
  assert.equal(controlFrameAt(clientFrame(opcodes.text, Buffer.from('x')), 0), 0)
})
