import assert from 'node:assert/strict'
import fc from 'fast-check'
import { toHex } from '../../protocol/bytes.ts'
import { cidFromDigest, cidOf, digestOf } from '../../protocol/cid.ts'
import {
  type ContentTree,
  createTreeHasher,
  leafCount,
  leafSize,
  nodeCount,
  readTree,
  treeBytesOf,
} from '../../protocol/content-tree.ts'
import { sha256 } from '../../protocol/crypto.ts'
import type { Verdict } from '../../protocol/errors.ts'
import { LEAF_BYTES, MAX_BLOB_BYTES, MAX_TREE_NODES, TREE_WIDTH } from '../../protocol/limits.ts'
import { importAll, zeros } from '../helpers/unixfs-importer.ts'

const codeOf = (verdict: Verdict<unknown>): string => (verdict.ok ? 'ok' : verdict.code)

async function treeOf(size: number): Promise<ContentTree> {
  const hasher = createTreeHasher()
  for await (const leaf of zeros(size)) hasher.leaf(leaf)
  return hasher.finish()
}

/** A tree with leaves that differ, without their bytes: `fill` tells the leaves apart. */
function smallTree(leaves: number, fill: number) {
  const hasher = createTreeHasher()
  for (let i = 0; i < leaves; i++) {
    hasher.leaf(new Uint8Array(i < leaves - 1 ? LEAF_BYTES : 3).fill(fill + i))
  }
  return hasher.finish()
}

describe('protocol/content-tree', () => {
  for (const size of [0, 1, LEAF_BYTES - 1, LEAF_BYTES, LEAF_BYTES + 1, 5 * LEAF_BYTES]) {
    it(`gives ${size} bytes the id and the nodes that other tools give`, async () => {
      const tree = await treeOf(size)
      const imported = await importAll([{ path: 'file', content: zeros(size) }])
      assert.equal(tree.cid, imported.cid)
      assert.deepEqual([tree.size, treeBytesOf(size)], [size, imported.treeBytes])
      assert.deepEqual(tree.nodes.map(toHex).sort(), imported.nodes.map(toHex).sort())
      assert.equal(tree.nodes.length, nodeCount(size))
    })
  }

  it('builds two levels where one is full', async function () {
    // Hashes 3 GiB; nothing smaller has two levels.
    this.timeout(60_000)
    this.slow(10_000)
    const size = TREE_WIDTH * LEAF_BYTES + 5
    const tree = await treeOf(size)
    const imported = await importAll([{ path: 'file', content: zeros(size) }])
    assert.equal(tree.cid, imported.cid)
    assert.equal(treeBytesOf(size), imported.treeBytes)
    assert.deepEqual([tree.nodes.length, nodeCount(size), leafCount(size)], [3, 3, 1025])
    const digests = readTree(tree.cid, size, tree.nodes)
    assert(digests.ok)
    assert.equal(digests.value.length, 1025)
    const swapped = [tree.nodes[0], tree.nodes[2], tree.nodes[1]] as Uint8Array[]
    assert.equal(codeOf(readTree(tree.cid, size, swapped)), 'CONTENT_MISMATCH')
  })

  it('hashes the whole file as well', async () => {
    const { sha256: hash } = await treeOf(LEAF_BYTES + 1)
    assert.equal(hash, toHex(sha256(new Uint8Array(LEAF_BYTES + 1))))
    assert.equal((await treeOf(0)).sha256, toHex(sha256(new Uint8Array(0))))
  })

  it('takes leaves of 1 MiB, a smaller one last', () => {
    const hasher = createTreeHasher()
    hasher.leaf(new Uint8Array(1))
    assert.throws(() => hasher.leaf(new Uint8Array(1)), TypeError)
    assert.throws(() => createTreeHasher().leaf(new Uint8Array(LEAF_BYTES + 1)), TypeError)
    assert.throws(() => createTreeHasher().leaf(new Uint8Array(0)), TypeError)
  })

  it('knows leaves and nodes of a size', () => {
    assert.deepEqual([0, 1, LEAF_BYTES, LEAF_BYTES + 1].map(leafCount), [1, 1, 1, 2])
    assert.deepEqual([leafSize(LEAF_BYTES + 1, 0), leafSize(LEAF_BYTES + 1, 1)], [LEAF_BYTES, 1])
    assert.deepEqual([leafSize(0, 0), leafSize(LEAF_BYTES, 0)], [0, LEAF_BYTES])
    assert.equal(nodeCount(MAX_BLOB_BYTES), 21)
    assert(nodeCount(MAX_BLOB_BYTES) <= MAX_TREE_NODES)
  })

  describe('reading the nodes of a stranger', () => {
    const tree = smallTree(4, 1)
    const [root] = tree.nodes as [Uint8Array]

    it('gives the digest of each leaf', () => {
      const digests = readTree(tree.cid, tree.size, tree.nodes)
      assert(digests.ok)
      assert.deepEqual(
        digests.value.map(toHex),
        [1, 2, 3]
          .map((fill) => toHex(sha256(new Uint8Array(LEAF_BYTES).fill(fill))))
          .concat(toHex(sha256(new Uint8Array(3).fill(4)))),
      )
    })

    it('needs no node for a file of one leaf', () => {
      const cid = cidOf('raw', new Uint8Array(3))
      assert.deepEqual(readTree(cid, 3, []), { ok: true, value: [digestOf(cid)] })
      assert.equal(codeOf(readTree(cid, 3, [root])), 'CONTENT_MISMATCH')
      assert.equal(codeOf(readTree(tree.cid, 3, [])), 'CONTENT_MISMATCH')
    })

    it('refuses nodes with any bit flipped', () => {
      fc.assert(
        fc.property(fc.nat(8 * root.length - 1), (bit) => {
          const copy = Uint8Array.from(root)
          copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
          assert.equal(codeOf(readTree(tree.cid, tree.size, [copy])), 'CONTENT_MISMATCH')
        }),
        { numRuns: 300 },
      )
    })

    it('refuses any other size', () => {
      for (const size of [0, 1, LEAF_BYTES, tree.size - 1, tree.size + 1, tree.size + LEAF_BYTES]) {
        assert.equal(codeOf(readTree(tree.cid, size, tree.nodes)), 'CONTENT_MISMATCH', `${size}`)
      }
      assert.equal(codeOf(readTree(tree.cid, MAX_BLOB_BYTES + 1, tree.nodes)), 'LIMIT')
      assert.equal(codeOf(readTree(tree.cid, MAX_BLOB_BYTES, tree.nodes)), 'CONTENT_MISMATCH')
    })

    it('refuses other nodes, too few and too many', () => {
      const other = smallTree(4, 5)
      for (const nodes of [[], other.nodes, [root, root], [new Uint8Array(0)], [sha256(root)]]) {
        assert.equal(codeOf(readTree(tree.cid, tree.size, nodes)), 'CONTENT_MISMATCH')
      }
    })

    it('refuses a tree of another shape, though its own id fits', () => {
      // A node of a folder, and one that links to a node where a leaf should be.
      const folder = Uint8Array.of(0x0a, 2, 0x08, 1)
      const nested = Uint8Array.from(root)
      nested[nested.indexOf(0x55)] = 0x70
      for (const node of [folder, nested]) {
        assert.equal(codeOf(readTree(cidOf('dag-pb', node), tree.size, [node])), 'CONTENT_MISMATCH')
      }
      assert.equal(
        codeOf(readTree(cidFromDigest('dag-cbor', sha256(root)), tree.size, [root])),
        'CONTENT_MISMATCH',
      )
    })
  })
})
