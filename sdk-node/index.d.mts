import * as worker from './index.js'

export * from './index.js'
export default worker
