#!/usr/bin/env node
// `kubectl atrium …`: kubectl runs what is called kubectl-atrium on the PATH as a plugin. The same verbs, the same flags.
import './atrium.mjs'
