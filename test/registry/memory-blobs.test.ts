import { MemoryBlobs } from '../../registry/memory-blobs.ts'
import { blobStoreSuite } from '../suites/blob-store.ts'

blobStoreSuite('registry/memory-blobs', async () => ({ store: new MemoryBlobs() }))
