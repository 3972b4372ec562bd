/** What the catalogue keeps beside a model record: its card, read into the normal form. */
import { isContentOf } from '../protocol/cid.ts'
import { accept, refuse, type Verdict } from '../protocol/errors.ts'
import { MAX_CARD_BYTES } from '../protocol/limits.ts'
import type { ModelDescription } from '../protocol/model-description.ts'
import type { ModelBody } from '../protocol/record.ts'
import type { CardReading } from './card-reader.ts'
import type { RecordIndex } from './catalogue.ts'

/**
 * Checks a card against its record and reads it.
 *
 * A card that this version cannot read does not stop a log: the record stands under the name that
 * it gives itself, its reason beside it, and is not run. Otherwise one card of a newer format would
 * hide everything that its publisher signs afterwards.
 *
 * Fails with BLOB_MISSING without the card, CONTENT_MISMATCH or LIMIT with another one.
 */
export function indexCard(
  body: Pick<ModelBody, 'card' | 'name' | 'version'>,
  card: Uint8Array | null,
  read: (card: Uint8Array) => CardReading,
): Verdict<RecordIndex> {
  if (card === null) {
    return refuse('BLOB_MISSING', 'a model record comes with its card', {
      field: 'card',
      got: body.card,
    })
  }
  if (card.length > MAX_CARD_BYTES) {
    return refuse('LIMIT', 'the card is too large', {
      field: 'card',
      limit: MAX_CARD_BYTES,
      got: card.length,
    })
  }
  if (!isContentOf(body.card, card)) {
    return refuse('CONTENT_MISMATCH', 'the card is not the one that the record names', {
      field: 'card',
      limit: body.card,
    })
  }
  const reading = read(card)
  return 'description' in reading
    ? accept({ card, description: reading.description })
    : accept({ card, description: nameOnly(body), unreadable: reading })
}

/** What is kept of a model whose card is not here: it was erased, once at least. */
export const withoutCard = (
  model: Pick<ModelBody, 'name' | 'version'>,
): Required<Pick<RecordIndex, 'description' | 'unreadable' | 'isCardless'>> => ({
  description: nameOnly(model),
  unreadable: { code: 'BLOB_MISSING', message: 'it is not on this node' },
  isCardless: true,
})

/** A description of a model of which only the record is known. */
const nameOnly = ({ name, version }: Pick<ModelBody, 'name' | 'version'>): ModelDescription => ({
  formatVersion: '',
  name,
  description: '',
  id: null,
  version,
  license: null,
  tags: [],
  authors: [],
  cite: [],
  documentation: null,
  covers: [],
  inputs: [],
  outputs: [],
  weights: [],
  tolerances: [],
  files: [],
})
