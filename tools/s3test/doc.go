// Package s3test tests what stands on S3 against servers that speak its protocol: one in this process, and, with
// -server, versitygw in a process of its own.
//
//	make s3test
package s3test
