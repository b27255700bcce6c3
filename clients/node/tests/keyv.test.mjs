// @keyv/test-suite, unchanged, run by vitest as it wants. Its iterator tests are not run: a store that finds its keys
// would have to SCAN the whole server, which is not only keyv's.
import * as test from 'vitest'
import keyvTestSuite from '@keyv/test-suite'
import Keyv from 'keyv'
import { Corral } from 'corral-cache'
import { KeyvCorral } from 'corral-cache/keyv'
import { startServer } from './server.mjs'

const server = await startServer()
const corral = new Corral(server.url)
test.afterAll(async () => {
  await corral.close()
  await server.stop()
})

keyvTestSuite(test, Keyv, () => new KeyvCorral(corral))
