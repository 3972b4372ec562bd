import assert from 'node:assert/strict'
import { isPublicAddress } from '../../daemon/public-address.ts'

describe('daemon/public-address', () => {
  it('takes addresses of the internet', () => {
    for (const address of ['1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700::1', '2a00::1']) {
      assert.equal(isPublicAddress(address), true, address)
    }
  })

  it('refuses loopback, private, link-local, carrier NAT and special addresses', () => {
    const refused = `0.0.0.0 10.1.2.3 100.64.0.1 100.127.255.255 127.0.0.1 127.8.8.8 169.254.169.254
      172.16.0.1 172.31.255.255 192.168.1.1 192.0.2.1 198.18.0.1 198.51.100.7 203.0.113.9 224.0.0.1
      255.255.255.255 :: ::1 ::ffff:1.1.1.1 ::ffff:127.0.0.1 64:ff9b::1.1.1.1 fc00::1 fd12::1
      fe80::1 fe80::1%eth0 2001:4700::1%eth0 ff02::1 2001::1 2001:db8::1 2002:7f00:1::1 3fff::1
      localhost 0x7f.1 1.1.1 embl.example`
    for (const address of ['', ...refused.split(/\s+/)]) {
      assert.equal(isPublicAddress(address), false, address)
    }
  })
})
