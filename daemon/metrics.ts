/** Prometheus metrics of one daemon. Names end in their unit. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

type Counts = Readonly<Record<string, number>>

export class Metrics {
  readonly #registry = new Registry()
  readonly inferences = new Counter({
    name: 'zoarium_inferences_total',
    help: 'Inference requests by where they ran and how they ended',
    labelNames: ['where', 'code'] as const,
    registers: [this.#registry],
  })
  readonly inferenceSeconds = new Histogram({
    name: 'zoarium_inference_seconds',
    help: 'Time of inference requests that succeeded',
    labelNames: ['where'] as const,
    buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100],
    registers: [this.#registry],
  })
  readonly fetchedBytes = new Counter({
    name: 'zoarium_fetched_bytes_total',
    help: 'Bytes of files fetched from peers and verified',
    registers: [this.#registry],
  })

  readonly evictedBytes = new Counter({
    name: 'zoarium_evicted_bytes_total',
    help: 'Bytes of files deleted to make room for others',
    registers: [this.#registry],
  })

  /** @param gauges read at each scrape: name -> value, or the values of each `kind` */
  constructor(gauges: Readonly<Record<string, { help: string; read: () => number | Counts }>>) {
    collectDefaultMetrics({ register: this.#registry })
    for (const [name, { help, read }] of Object.entries(gauges)) {
      new Gauge({
        name,
        help,
        labelNames: ['kind'] as const,
        registers: [this.#registry],
        collect() {
          const now = read()
          if (typeof now === 'number') this.set(now)
          else {
            this.reset()
            for (const [kind, value] of Object.entries(now)) this.set({ kind }, value)
          }
        },
      })
    }
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }
}
