package capsembench

import (
	"os"
	"testing"

	"github.com/capsem/capsem-bench/internal/guest"
)

func TestMain(m *testing.M) { os.Exit(guest.Main(m)) }
