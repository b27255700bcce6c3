// Values as bytes. Whoever gets a value decodes it for himself: nobody shares an object with anybody.
import { deserialize, serialize } from 'node:v8'
import type { Options, Serializer } from './options.js'

const json: Serializer = {
  encode(value) {
    const text = JSON.stringify(value, refusing)
    // JSON.stringify says nothing at all here, and "undefined" would be cached as if it were a value.
    if (text === undefined) throw new TypeError(`JSON cannot carry ${typeof value}: let the build return null, or choose the serializer 'v8'`)
    return text
  },
  decode: (bytes) => JSON.parse(bytes.toString()),
}

// JSON.stringify makes other objects of these, and nobody would know.
function refusing(this: any, key: string, value: unknown): unknown {
  const given = this[key] // a Buffer's toJSON was called already
  if (given instanceof Map || given instanceof Set || ArrayBuffer.isView(given)) {
    throw new TypeError(`JSON cannot carry a ${given.constructor.name}: choose the serializer 'v8', for a Buffer alone 'bytes', or build an object or an array`)
  }
  return value
}

const bytes: Serializer<Uint8Array | string> = {
  encode(value) {
    if (typeof value === 'string' || Buffer.isBuffer(value)) return value
    if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    throw new TypeError(`the serializer 'bytes' takes a Buffer, a Uint8Array or a text, not ${typeof value}`)
  },
  decode: (value) => Buffer.from(value),
}

const v8: Serializer = { encode: (value) => serialize(value), decode: (value) => deserialize(value) }

export function serializerOf(option: Options['serializer'] = 'json'): Serializer {
  if (typeof option === 'object') return option
  return { json, bytes, v8 }[option]
}
