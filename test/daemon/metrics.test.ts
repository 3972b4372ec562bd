import assert from 'node:assert/strict'
import { Metrics } from '../../daemon/metrics.ts'

describe('daemon/metrics', () => {
  it('prints gauges as they are at each scrape, beside what was counted', async () => {
    let peers = 1
    const metrics = new Metrics({ zoarium_peers: { help: 'Connected peers', read: () => peers } })
    assert.match(
      await metrics.text(),
      /^# HELP zoarium_peers Connected peers\n# TYPE zoarium_peers gauge\nzoarium_peers 1$/m,
    )
    peers = 3
    metrics.fetchedBytes.inc(7)
    metrics.inferences.inc({ where: 'local', code: 'OK' })
    metrics.inferenceSeconds.observe({ where: 'local' }, 0.02)
    const text = await metrics.text()
    for (const line of [
      'zoarium_peers 3',
      'zoarium_fetched_bytes_total 7',
      'zoarium_inferences_total{where="local",code="OK"} 1',
      'zoarium_inference_seconds_bucket{le="0.01",where="local"} 0',
      'zoarium_inference_seconds_bucket{le="0.03",where="local"} 1',
    ]) {
      assert.ok(text.includes(`\n${line}\n`), line)
    }
    assert.match(text, /^process_resident_memory_bytes \d+$/m)
  })

  it('prints a gauge of several kinds, and none that is over', async () => {
    let counts: Record<string, number> = { disk: 1, bytes: 2 }
    const metrics = new Metrics({ zoarium_limits_met: { help: 'Limits', read: () => counts } })
    assert.match(await metrics.text(), /^zoarium_limits_met\{kind="bytes"\} 2$/m)
    counts = { disk: 1 }
    const text = await metrics.text()
    assert.match(text, /^zoarium_limits_met\{kind="disk"\} 1$/m)
    assert(!text.includes('bytes"'))
  })

  it('belongs to one daemon', async () => {
    const [first, second] = [new Metrics({}), new Metrics({})]
    first.fetchedBytes.inc(5)
    assert.match(await second.text(), /^zoarium_fetched_bytes_total 0$/m)
  })
})
