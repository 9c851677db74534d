// On which address a listener for everybody listens.
import { networkInterfaces } from 'node:os'

/** Both families where the machine has both. */
export function everyAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return addresses.some(({ family }) => family === 'IPv6') ? '::' : '0.0.0.0'
}
