// What the carrier suite asks of the client's side, whatever lies between: sockets or memory. Types only. raw-client.ts
// speaks it over TCP, memory-carrier.ts without any bytes on a wire.

/** Name, value, name, value … */
export type Flat = readonly string[]

/** A request to send. */
export interface CallOptions {
  /** GET by default. */
  readonly method?: string
  /** Request target; `/` by default. */
  readonly target?: string
  /** Fields beyond Host and framing. */
  readonly fields?: Flat
  /** `app.test` by default. */
  readonly host?: string
  /** Bytes that will be written; null for chunked; undefined for no body. */
  readonly bodyLength?: number | null
}

/** One request from the client's side. */
export interface ClientCall {
  /** Sends a part of the body; resolves when there is room for more. */
  write(chunk: Uint8Array | string): Promise<void>
  /** Ends the body. */
  end(trailers?: Flat): void
  /** The final head. Rejects where the connection ends before. */
  head(): Promise<{ readonly status: number; readonly fields: Flat }>
  /** Interim answers so far. */
  readonly interim: readonly { readonly status: number; readonly fields: Flat }[]
  /** The next bytes of the body, undefined at its end. Nothing more is taken from the gateway than what is asked for. */
  read(): Promise<Uint8Array | undefined>
  /** The rest of the body as latin1. Rejects where it is cut. */
  text(): Promise<string>
  /** After the end of the body. */
  readonly trailers: Flat
  /** Goes away without a word. */
  abort(): void
  /** After 101: bytes go both ways. `read` and `write` are the tunnel's from then on. */
  endTunnel(): void
}

/** The value of a field, without regard to case; undefined where it is absent. */
export function field(fields: Flat, name: string): string | undefined {
  return allOf(fields, name)[0]
}

/** All values of a field. */
export function allOf(fields: Flat, name: string): string[] {
  const values: string[] = []
  for (let at = 0; at + 1 < fields.length; at += 2) {
    if (fields[at]?.toLowerCase() === name.toLowerCase()) values.push(fields[at + 1] ?? '')
  }
  return values
}
