package s3store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/bop-platform/bop/modules/aof/objstore"
)

// errPrecondition: a condition didn't hold; which one the caller knows.
var errPrecondition = errors.New("precondition failed")

var (
	errNoUpload = errors.New("the store doesn't know the upload any more: does a lifecycle rule of the bucket abort uploads too early?")
	// errDamaged: what was sent had the right checksum, so another try may bring it.
	errDamaged = fmt.Errorf("%w: the body changed on its way: %w", objstore.ErrChecksum, objstore.ErrUnavailable)
)

// codes are what S3 calls its errors.
var codes = map[string]error{
	"NoSuchKey": objstore.ErrNotFound, "NotFound": objstore.ErrNotFound,
	"PreconditionFailed": errPrecondition, "NoSuchUpload": errNoUpload,
	// Two conditional puts at once: neither is known to have won.
	"ConditionalRequestConflict": objstore.ErrUnavailable, "OperationAborted": objstore.ErrUnavailable,
	"AccessDenied": objstore.ErrDenied, "InvalidAccessKeyId": objstore.ErrDenied, "SignatureDoesNotMatch": objstore.ErrDenied,
	"ExpiredToken": objstore.ErrDenied, "InvalidToken": objstore.ErrDenied, "AccountProblem": objstore.ErrDenied,
	"InvalidRange": objstore.ErrRange,
	"BadDigest":    errDamaged, "XAmzContentChecksumMismatch": errDamaged, "XAmzContentSHA256Mismatch": errDamaged,
	"InvalidDigest": objstore.ErrChecksum,
	"SlowDown":      objstore.ErrUnavailable, "InternalError": objstore.ErrUnavailable, "ServiceUnavailable": objstore.ErrUnavailable,
	"RequestTimeout": objstore.ErrUnavailable, "RequestTimeTooSkewed": objstore.ErrDenied, "Throttling": objstore.ErrUnavailable,
}

// statuses are for answers without a body, as those to HEAD, and for codes that aren't known.
var statuses = map[int]error{
	http.StatusNotFound: objstore.ErrNotFound, http.StatusPreconditionFailed: errPrecondition,
	http.StatusForbidden: objstore.ErrDenied, http.StatusUnauthorized: objstore.ErrDenied,
	http.StatusRequestedRangeNotSatisfiable: objstore.ErrRange, http.StatusTooManyRequests: objstore.ErrUnavailable,
	http.StatusConflict: objstore.ErrUnavailable, http.StatusRequestTimeout: objstore.ErrUnavailable,
}

// byCode wraps an error in the one that its code stands for.
func byCode(code string, err error) error {
	if known := codes[code]; known != nil {
		return fmt.Errorf("%w: %w", known, err)
	}
	return err
}

// conditional tells which condition of a write didn't hold.
func conditional(err error, o objstore.PutOptions) error {
	switch {
	case o.IfAbsent && errors.Is(err, errPrecondition):
		return objstore.ErrExists
	case o.IfMatch != "" && (errors.Is(err, errPrecondition) || errors.Is(err, objstore.ErrNotFound)):
		return objstore.ErrChanged
	}
	return err
}

// isCode tells whether the store answered with one of these.
func isCode(err error, codes ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}

// classify tells what an error of the SDK means.
func classify(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
		return err
	}
	if api := smithy.APIError(nil); errors.As(err, &api) {
		if api.ErrorCode() == "NoSuchBucket" {
			return fmt.Errorf("the bucket doesn't exist: %w", err)
		}
		if codes[api.ErrorCode()] != nil {
			return byCode(api.ErrorCode(), err)
		}
	}
	if answer := (*awshttp.ResponseError)(nil); errors.As(err, &answer) {
		status := answer.HTTPStatusCode()
		switch {
		case statuses[status] != nil:
			return fmt.Errorf("%w: %w", statuses[status], err)
		case status >= 500 || status < 400: // the latter: the answer made no sense
			return fmt.Errorf("%w: %w", objstore.ErrUnavailable, err)
		}
		return err
	}
	if op := (*smithy.OperationError)(nil); errors.As(err, &op) && !sent(err) {
		return err // the request was never sent: no credentials above all
	}
	return fmt.Errorf("%w: %w", objstore.ErrUnavailable, err)
}

// sent tells whether an error without an answer came from the network.
func sent(err error) bool {
	var request *smithyhttp.RequestSendError
	return errors.As(err, &request) || isTimeout(err)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout() && !errors.Is(err, context.Canceled)
}
