from keras_ser.cli import main

raise SystemExit(main())
