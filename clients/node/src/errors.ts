// What callers can catch, and what each answer of a server means for a call.

/** What this package throws, but for a build's own error and the serializer's. */
export class CorralError extends Error {
  override readonly name = this.constructor.name
}

/** The last build of this key failed, here or in another process. The message is what its builder said. */
export class BuildFailed extends CorralError {
  /** @param retryAfter seconds until the next attempt is allowed */
  constructor(message: string, readonly retryAfter: number, options?: ErrorOptions) {
    super(message, options)
  }
}

/** Somebody else's build took longer than this caller's `wait`. */
export class WaitTimeout extends CorralError {}

/** The server has no Corral. */
export class ModuleMissing extends CorralError {}

/** The server's Corral is too old for an option that was asked for. */
export class Unsupported extends CorralError {}

/** The user may not do this, or the password is wrong. */
export class NoPermission extends CorralError {}

/** An invalidation that not every server took. It may be said again: invalidating twice does no harm. */
export class NotAllAnswered extends CorralError {
  readonly nodes: string[]
  constructor(errors: ReadonlyMap<string, unknown>) {
    const [cause] = errors.values()
    super(`not taken by ${[...errors.keys()].join(', ')}: ${String(cause)}`, { cause })
    this.nodes = [...errors.keys()]
  }
}

/** A build asked for the key that it builds. */
export class RecursiveBuild extends CorralError {}

/** A wrong option, template or argument, found before any server was asked. */
export class Usage extends CorralError {}

/** The server cannot be reached, or does not answer. Seen by callers only with `degrade: 'raise'`. */
export class Unavailable extends CorralError {}

/** A connection that ended before the answer came. Asked again once, then it is `Unavailable`. */
export class Lost extends Unavailable {}

/** An error that the server answered; the code is its first word. */
export class ServerError extends CorralError {
  readonly code: string
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = /^[A-Z]+/.exec(message)?.[0] ?? ''
  }
}

const REFUSING = new Set(['LOADING', 'MASTERDOWN', 'CLUSTERDOWN', 'READONLY', 'MISCONF', 'NOREPLICAS', 'OOM', 'BUSY'])
const MOVING = new Set(['UNBLOCKED', 'TRYAGAIN', 'MOVED', 'ASK'])
const DENYING = new Set(['NOPERM', 'NOAUTH', 'WRONGPASS'])

/** Whether a value should be built here because the server cannot be asked now. */
export function isOutage(error: unknown): boolean {
  if (error instanceof Unavailable) return true
  if (!(error instanceof ServerError)) return false
  // The server has no code of its own for this one.
  return REFUSING.has(error.code) || error.message.startsWith('ERR max number of clients')
}

/** Whether the same question has an answer elsewhere or a little later. */
export function isMoving(error: unknown): error is ServerError {
  return error instanceof ServerError && MOVING.has(error.code)
}

/** Whether the question itself is wrong, wherever and whenever it is asked. */
export function isRefusal(error: unknown): error is ServerError {
  return error instanceof ServerError && !MOVING.has(error.code) && !DENYING.has(error.code) && !isOutage(error)
}

/** Server's errors that have a class of their own, with a word that helps. */
export function explained(error: unknown): unknown {
  if (!(error instanceof ServerError)) return error
  if (DENYING.has(error.code)) {
    return new NoPermission(`${error.message} (the ACL line to copy is in the README of corral-cache)`, { cause: error })
  }
  if (error.message.startsWith('ERR unknown command')) {
    return new ModuleMissing(
      `the server does not know Corral's commands: add "loadmodule /path/to/libcorral.so" to its redis.conf (it said: ${error.message})`,
      { cause: error },
    )
  }
  return error
}
