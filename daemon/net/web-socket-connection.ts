/**
 * One WebSocket as a connection of libp2p. Bytes go in both directions as binary messages whose
 * borders mean nothing.
 */
import type { AbortOptions, Logger, MultiaddrConnection } from '@libp2p/interface'
import { AbstractMultiaddrConnection, type SendResult } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { WebSocket } from 'ws'

const KIB = 1024

/** Largest message that is taken; anyone may send one before it said who it is. */
export const MAX_WEB_SOCKET_MESSAGE_BYTES = 1024 * KIB
/** Largest message that is sent: other implementations take less than this one. */
const SEND_BYTES = 256 * KIB
/** Unsent bytes at which the writer waits. */
const HIGH_WATER_BYTES = 1024 * KIB
/** The other side has so long to answer the closing message. */
const CLOSE_MS = 2_000

export interface WebSocketConnectionOptions {
  readonly socket: WebSocket
  readonly remoteAddr: Multiaddr
  readonly direction: 'inbound' | 'outbound'
  readonly log: Logger
}

/** @param options `socket`: open, and nothing of it read yet */
export const webSocketConnection = (options: WebSocketConnectionOptions): MultiaddrConnection =>
  new WebSocketConnection(options)

class WebSocketConnection extends AbstractMultiaddrConnection {
  readonly #socket: WebSocket

  constructor({ socket, ...init }: WebSocketConnectionOptions) {
    super(init)
    this.#socket = socket
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (isBinary) this.onData(data)
      else this.abort(new Error('a text message'))
    })
    socket.on('error', (error) => this.abort(error))
    socket.once('close', () => this.onTransportClosed())
  }

  sendData(data: Parameters<AbstractMultiaddrConnection['push']>[0]): SendResult {
    const parts = data instanceof Uint8Array ? [data] : data
    for (const part of parts) {
      for (let offset = 0; offset < part.length; offset += SEND_BYTES) {
        this.#socket.send(part.subarray(offset, offset + SEND_BYTES), this.#onSent)
      }
    }
    const canSendMore = this.#socket.bufferedAmount < HIGH_WATER_BYTES
    return { sentBytes: data.byteLength, canSendMore }
  }

  /** An error also comes as an event. */
  readonly #onSent = (): void => {
    if (this.writableNeedsDrain && this.#socket.bufferedAmount < HIGH_WATER_BYTES / 2) {
      this.safeDispatchEvent('drain')
    }
  }

  sendReset(): void {
    this.#socket.terminate()
  }

  async sendClose(options?: AbortOptions): Promise<void> {
    const socket = this.#socket
    if (socket.readyState === socket.CLOSED) return
    await new Promise<void>((resolve) => {
      const cut = () => socket.terminate()
      const timer = setTimeout(cut, CLOSE_MS)
      options?.signal?.addEventListener('abort', cut)
      socket.once('close', () => {
        clearTimeout(timer)
        options?.signal?.removeEventListener('abort', cut)
        resolve()
      })
      socket.close()
    })
  }

  sendPause(): void {
    this.#socket.pause()
  }

  sendResume(): void {
    this.#socket.resume()
  }
}
