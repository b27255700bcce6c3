import { fileURLToPath } from 'node:url'

const handler = fileURLToPath(new URL('cache-handler.mjs', import.meta.url))

export default {
  cacheComponents: true,
  partialPrefetching: true,
  cacheHandlers: { default: handler, remote: handler },
  serverExternalPackages: ['better-sqlite3', 'corral-cache', 'redis'],
}
