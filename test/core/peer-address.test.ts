import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { peerOf, plainAddress, unknownAddress, writtenAddress } from '../../lib/core/peer-address.js'
import { peerText } from '../../lib/core/peer-text.js'

describe('an address that somebody wrote', () => {
  const same: Record<string, string[]> = {
    '203.0.113.7': [
      '203.0.113.7',
      ' 203.0.113.7\t',
      '203.0.113.7:50000',
      '"203.0.113.7:50000"',
      '203.0.113.7:_hidden',
      '::ffff:203.0.113.7',
      '[::FFFF:203.0.113.7]:443',
      '::ffff:cb00:7107',
      '0:0:0:0:0:ffff:203.0.113.7',
    ],
    '2001:db8::1': [
      '2001:db8::1',
      '2001:DB8::1',
      '[2001:db8::1]',
      '[2001:db8::1]:443',
      '"[2001:db8::1]:443"',
      '2001:0db8:0:0:0:0:0:1',
      '2001:db8::0.0.0.1',
      '2001:db8::1%eth0',
      `[2001:db8::1%${'x'.repeat(14_000)}]:1`,
    ],
    '2001:db8:0:1::443': ['2001:db8:0:1::443', '2001:db8::1:0:0:0:443'],
    '1:0:0:2::3': ['1:0:0:2:0:0:0:3'],
    '1::2:0:0:3:4': ['1:0:0:2:0:0:3:4'],
    '::': ['::', '0:0:0:0:0:0:0:0'],
    '::1': ['::1', '[::1]:80'],
    '1::': ['1::', '1:0:0:0:0:0:0:0'],
    '1:0:2:3:4:5:6:7': ['1:0:2:3:4:5:6:7'],
    '10:1001:0:2::': ['10:1001:0:2:0:0:0:0'],
  }
  for (const [address, written] of Object.entries(same))
    test(`${address}, however it is written`, () => {
      for (const text of written) assert.equal(writtenAddress(text), address, text.slice(0, 50))
    })

  test('what is none is nobody', () => {
    const others = [
      '',
      'unknown',
      '_hidden',
      'localhost',
      '203.0.113',
      '203.0.113.7.8',
      '256.1.1.1',
      '[203.0.113.7]',
    ]
    for (const text of [
      ...others,
      '1::2::3',
      '[',
      ']',
      '[]:1',
      '""',
      '203.0.113.7%eth0',
      '2001:db8::1]',
      'x'.repeat(9_999),
    ])
      assert.equal(writtenAddress(text), undefined, text.slice(0, 50))
  })
})

test('a peer on IPv6 is its prefix; on IPv4, on loopback, on the link or behind NAT64 it is its address', () => {
  assert.equal(peerOf('2001:db8:1:2:3:4:5:6', 64), '2001:db8:1:2::/64')
  assert.equal(peerOf('2001:db8:1:2::', 64), '2001:db8:1:2::/64')
  assert.equal(peerOf('2001:db8:1:2:3:4:5:6', 56), '2001:db8:1::/56')
  assert.equal(peerOf('2001:db8:1:ff02::6', 60), '2001:db8:1:ff00::/60')
  assert.equal(peerOf('2001:db8:1:2:8001::6', 65), '2001:db8:1:2:8000::/65')
  assert.equal(peerOf('ffff::6', 1), '8000::/1')
  const alone = [
    '2001:db8::1',
    '203.0.113.7',
    '::1',
    'fe80::1%eth0',
    '64:ff9b::cb00:7107',
    unknownAddress,
    'a:socket',
  ]
  for (const address of alone) assert.equal(peerOf(address, 128), address)
  for (const address of alone.slice(1)) assert.equal(peerOf(address, 64), address)
})

test('an address of a socket is plain, known or not, and short', () => {
  assert.equal(plainAddress('::ffff:127.0.0.1'), '127.0.0.1')
  assert.equal(plainAddress('fe80::1%eth0'), 'fe80::1%eth0')
  for (const nothing of [undefined, '', 7 as never]) assert.equal(plainAddress(nothing), unknownAddress)
  assert.ok(plainAddress(`fe80::1%${'x'.repeat(5_000)}`).length <= 100)
  assert.equal(plainAddress('10.0.0.1\n\u202e'), '10.0.0.1\\u000a\\u202e')
})

describe('text of a peer', () => {
  test('is escaped where it does not print, or turns what stands around it', () => {
    for (const code of [
      0, 0x1b, 0x7f, 0xad, 0x61c, 0x200b, 0x200d, 0x200e, 0x202a, 0x202e, 0x2028, 0x2060, 0x2066, 0x2069,
      0xfeff, 0x3164, 0xfe0f,
    ])
      assert.equal(peerText(`a${String.fromCodePoint(code)}b`), `a\\u${code.toString(16).padStart(4, '0')}b`)
    assert.equal(peerText('a\u{e0041}b'), 'a\\u{e0041}b')
    assert.equal(peerText('a\ud800b\udc00'), 'a\\ud800b\\udc00')
    for (const text of ['żółć', '日本語', '😀', 'العربية', '-> "quoted" <b>'])
      assert.equal(peerText(text), text)
  })

  test('is cut, escapes included, and never in the middle of a character or an escape', () => {
    assert.equal(peerText('x'.repeat(200)), 'x'.repeat(200))
    assert.equal(peerText('x'.repeat(201)), `${'x'.repeat(199)}…`)
    assert.equal(peerText(`${'x'.repeat(8)}😀😀`, 10), `${'x'.repeat(8)}…`)
    for (let length = 1; length < 40; length++) {
      const cut = peerText('ab\u200b\u{e0041}'.repeat(50), length)
      assert.ok(cut.length <= length)
      assert.match(cut, /^(?:ab|\\u200b|\\u\{e0041\})*a?…$/)
    }
  })
})
