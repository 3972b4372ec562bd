import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Agenda } from './agenda.ts'

describe('simulator/agenda', () => {
  it('does things in order of time, then of coming', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { maxLength: 60 }), (times) => {
        const agenda = new Agenda(0)
        const done: [number, number][] = []
        times.forEach((time, index) => {
          agenda.after(time, () => {
            assert.equal(agenda.now, time)
            done.push([time, index])
          })
        })
        for (let work = agenda.next(100); work !== null; work = agenda.next(100)) void work()
        assert.deepEqual(
          done,
          [...done].sort(([a, i], [b, j]) => a - b || i - j),
        )
        assert.equal(done.length, times.length)
        assert.equal(agenda.now, 100)
      }),
    )
  })

  it('leaves for later what is not due', () => {
    const agenda = new Agenda(1000)
    agenda.after(10, () => {})
    assert.equal(agenda.next(1009), null)
    assert.equal(agenda.now, 1009)
    assert.notEqual(agenda.next(1010), null)
  })
})
