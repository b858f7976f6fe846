// Package scenarios is the table of scheduling cases: clusters, queues and pods as users write them,
// what happens step by step, and where every pod must be afterwards. A reported bug enters here as a
// row first, and fails.
//
// Rows are YAML files, one per topic, in rows/. They are not Go tables because a bug report comes as
// manifests from people who may not write Go: resource names and annotations stand in a row exactly as
// in the manifest, a row is read from top to bottom like the report's own steps, and the strict decoder
// refuses a misspelt field, as the compiler would. Everything that a row does not say has one default,
// named at the type of the field.
//
// A Runner carries out the steps: package core by the pure core alone, package volcano in real Volcano
// sessions. Rows hold for every runner; a row that one of them cannot express says why in its skip
// field. What holds for all rows is not written in them: after each step no card may have sold more
// than it has, and no group may be placed in part.
//
// The package owns the format, the drive through a row's steps and the comparison. It refuses to know
// how anything is scheduled.
package scenarios
