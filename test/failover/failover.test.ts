/** The failover tests, as the user who runs them. */

import { failoverSuite } from './suite.ts';

failoverSuite();
