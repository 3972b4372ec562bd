import { MemoryCatalogue } from '../../registry/memory-catalogue.ts'
import { catalogueSuite } from '../suites/catalogue.ts'

catalogueSuite('registry/memory-catalogue', () => new MemoryCatalogue())
